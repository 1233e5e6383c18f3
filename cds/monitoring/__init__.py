"""The statistics of the quality page: pure functions of what was read, with scipy and statsmodels."""

#: Raised when a sum changes its meaning: results of two methods are not compared.
METHOD = "1"
