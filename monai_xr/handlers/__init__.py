"""What watches a training: checkpoints, tracking, pictures, health."""
