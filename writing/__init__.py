"""Writes whole files, and tables in Markdown pages."""
