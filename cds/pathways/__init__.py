"""One guideline per file: findings and EHR data in, an outcome out. Pure."""
