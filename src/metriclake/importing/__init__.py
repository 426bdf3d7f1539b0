"""
Importing: what other systems' templates say, as a pipeline file.
"""
