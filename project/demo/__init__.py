"""The demo: everything running on one machine with believable data, and the main job at once.

The parent process (`manage.py demo`) only looks after others: it uses no database, so that the
demo's settings are those of its children and never those of whoever starts it.
"""
