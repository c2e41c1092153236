"""Studies of a hospital's archive in; received, de-identified and queued for training, and results sent back, out."""
