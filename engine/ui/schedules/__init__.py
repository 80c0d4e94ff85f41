"""What the Schedules page is made of.

`rule` (preview as you type), `board` (list and one schedule), `editor` (new and change), `batch`, `load`.
"""
