"""Reads image files of any kind into `XrayImage`, tells what their levels mean, and makes square uint16 tiles."""
