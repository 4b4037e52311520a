"""What is written for people and other programs: whole files, and tables in Markdown pages."""
