"""What measures of a population stand on: shares, waits, control charts and rates, and which counts may be published.

Pure arithmetic over counts: where they come from and who may see them is decided elsewhere.
"""
