"""Image file in, normalised tensor out: loading, AIIN, the data set that training reads."""
