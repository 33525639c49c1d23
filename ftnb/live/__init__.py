"""What is going on: runs followed as they are recorded, watched, and told of.

store ── follow.py (one thread a store) ──▶ views of single runs
                                        └──▶ _watch.py (counters) ──▶ alerts.py, monitor.py
"""
