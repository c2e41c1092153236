"""Takes patients out of a folder of images: de-identified images, a quarantine, and its review by a person, out."""
