import subprocess
import sys

CHECK = """
import sys
from engine.records import db
print("pandas" in sys.modules)
import pandas
print(pandas.NA)
"""


def test_the_database_does_without_pandas_and_leaves_it_to_others():
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n<NA>\n"
