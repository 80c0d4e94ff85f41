import io
import os
import threading

from engine.lib.printer import Printer


def test_lines_come_out_in_order():
    stream = io.BytesIO()
    printer = Printer(stream)
    for number in range(100):
        printer.write(f"line {number}")
    printer.close()
    assert stream.getvalue().decode().splitlines() == [f"line {number}" for number in range(100)]


def test_a_reader_who_does_not_read_never_blocks_the_writer_and_learns_what_was_dropped():
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb", buffering=0) as stream, os.fdopen(reading, "rb") as reader:
        printer = Printer(stream, bound=10)
        for _ in range(5_000):  # a pipe holds 64 KiB: about 640 of these lines
            printer.write("x" * 100)
        lines: list[bytes] = []
        drain = threading.Thread(target=lambda: lines.extend(iter(reader.readline, b"end\n")))
        drain.start()
        while not any(b"dropped" in line for line in lines):
            printer.write("after")
        stream.write(b"end\n")
        drain.join()
        printer.close()
    notes = [line for line in lines if b"dropped" in line]
    assert 0 < int(notes[0].split()[0].strip(b"(")) < 5_000


def test_a_closed_stream_is_not_an_error():
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "wb", buffering=0)
    printer = Printer(stream)
    printer.write("nobody hears this")
    printer.close()
    stream.close()
