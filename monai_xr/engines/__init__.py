"""Networks, objective and batches in, a trained generator out: one engine for all GAN families."""
