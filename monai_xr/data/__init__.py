"""Folder of images in; records with labels, patients, splits and cached pixels out. Free of torch."""
