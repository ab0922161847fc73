"""From score rows to tables: pandas and rich, no torch. Rows come in, margins with their denominators go out."""
