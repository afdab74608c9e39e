"""Problems with exact answers: what the code computes, beside what can be worked out on paper.

`exact` and `laws` hold the formulas, the tests beside them the comparison, `pictures` what `docs/truths.md` shows.
All is in float64, and no network is trained for what a formula knows.
"""
