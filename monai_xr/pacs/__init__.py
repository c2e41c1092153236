"""Receives studies from a hospital's archive, de-identifies and queues them for training, and sends results back."""
