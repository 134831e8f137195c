"""The models behind the estimators: networks, stacks, and what trains and watches them.

Arrays in, arrays out; nothing here knows scikit-learn.
"""
