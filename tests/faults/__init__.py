"""Real workers, a misbehaving gateway and a nemesis; what must hold is checked afterwards.

`workload` makes messages, `nemesis` and the sandbox's faults make trouble, `history` reads what
happened on both sides, `checker` says what is wrong with it. Verdicts come from the history;
times are only deadlines.
"""
