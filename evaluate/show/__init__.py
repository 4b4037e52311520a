"""How results are shown: tables, plots, one page, and the bar while they are made."""
