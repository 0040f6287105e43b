"""Listening again: samples to listen to, the answers of the people who do, and what they add to the labels.

The only part beside the stages that writes to a lake. It writes tables of its own, `samples`, `triplets`,
`annotations` and `comparisons`, and never another's.
"""
