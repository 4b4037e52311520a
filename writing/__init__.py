"""Write files atomically, and tables in Markdown pages with their intervals."""
