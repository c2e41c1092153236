"""Finds, reads and writes files on a disk: whole files or none, folders as users name them, tables."""
