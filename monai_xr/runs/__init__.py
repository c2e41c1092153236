"""The output folder of a training in; what is in it, read back or set aside as a whole, out. No ignite, no MLflow."""
