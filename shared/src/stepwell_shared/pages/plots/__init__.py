"""Plots as SVG: one set of axes, fonts and marks for every page, readable without colour, on paper and aloud.

What differs, differs by pattern, by shape or by its own label; each plot names itself and says what it shows, and the
page puts a table of the same numbers beside it (`figure`).
"""
