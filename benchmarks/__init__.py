"""Figures, not tests: each is measured beside something to compare with, in turns, in one run; nothing is asserted."""
