"""Reports: `catalog` says what there is and checks what is asked, `delivery` makes the file.

This file stays empty: the child process that renders imports the package, and must stay light.
"""
