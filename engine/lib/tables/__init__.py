"""Tables from files that people send: CSV and XLSX.

`kinds` is light; `reading` loads the parsers and is for child processes. Cells are text as a person would
read it; what a column holds (`numbers`) is found from its cells. Everything wrong with a file is an
InvalidInput for the field `file`, in words its owner can act on.
"""
