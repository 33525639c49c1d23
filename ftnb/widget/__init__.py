"""The inline display: the payload of one engagement, its pictures and its widget.

    Engagement ── payload.py ──▶ plain JSON (protocol/) ──▶ view.py (live) | html.py (one file) | picture.py (static)

Import the modules themselves; `view` alone needs anywidget and the built bundle.
"""
