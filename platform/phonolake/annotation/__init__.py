"""Listening tests: samples to listen to, the answers of raters, and their effect on labels.

The only part besides the stages that writes to a lake. It writes only its own tables `samples`, `triplets`,
`annotations` and `comparisons`.
"""
