"""`stepwell demo`: a synthetic region of practices and people with years of care, for demos, tests and benches.

`numbers` has every distribution with its source, `region`, `people` and `courses` make the region out of them and of
nothing else, `resources` writes it as FHIR; `sending` and `playing` bring it through the APIs.
"""
