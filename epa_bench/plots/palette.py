"""Series told apart, with colour and without."""

# Okabe & Ito's colours, which people with any colour vision tell apart. Seven and eight, so that pairs do not repeat
# before the 57th series.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")
