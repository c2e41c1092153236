"""Studies of a PACS in; de-identified films in a data set, and results back in the PACS, out."""
