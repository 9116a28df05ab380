"""A report: what the history knows of a period, as one file that stands by itself.

`gather` asks, `page` writes; nothing in the file is loaded from anywhere, and no script is in it.
"""
