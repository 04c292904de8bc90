"""The clinical decisions of screening: pure functions of a response, its Questionnaire, parameters and time.

Reading order: finding, weights, conditions, bands, definition, aggregation, scoring, safety, then responses with
answers and enable_when.
"""
