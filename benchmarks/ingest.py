"""What flows in and what is built of it, beside what else could do it: three measurements, one after the other.

    python benchmarks/ingest.py          # a CSV of 1 GB, a table of 3M rows, a pipeline over 5M rows
    python benchmarks/ingest.py --quick  # a tenth of that

A file through a gate into the raw layer beside DuckDB's COPY (`ingest_csv.py`), a table of PostgreSQL beside dlt
(`ingest_sql.py`), a pipeline with checks beside the same SQL by hand (`build.py`). Results lie in `results/`.
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
STEPS = {
    "ingest_csv.py": ["--megabytes", "100", "--rounds", "1"],
    "ingest_sql.py": ["--rows", "300000", "--rounds", "1"],
    "build.py": ["--rows", "500000", "--rounds", "1"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, and one round")
    options = parser.parse_args()
    for script, quick in STEPS.items():
        print(f"\n{script}\n", flush=True)
        subprocess.run([sys.executable, str(HERE / script), *(quick if options.quick else [])], check=True)


if __name__ == "__main__":
    main()
