"""A trained model in; an app that reads studies and writes reports, and what proves and watches it, out."""
