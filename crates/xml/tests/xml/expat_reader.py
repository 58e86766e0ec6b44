"""Reads documents with libexpat and says what is in them.

Both ways a document is its length in four bytes, then that many bytes. An answer begins with "ok"
or "error"; after "ok" there is one line for each event, with text in hexadecimal.
"""

import struct
import sys
from xml.parsers import expat


def split(name):
    ns, _, local = name.rpartition(" ")
    return ns, local


def read(document):
    events = []
    text = []

    def flush():
        if text:
            events.append("T " + "".join(text).encode().hex())
            text.clear()

    def start(name, attributes):
        flush()
        events.append("S %s %s" % split(name))
        pairs = zip(attributes[0::2], attributes[1::2])
        found = sorted((*split(name), value) for name, value in pairs)
        events.extend("A %s %s %s" % (ns, local, value.encode().hex()) for ns, local, value in found)

    def end(_name):
        flush()
        events.append("E")

    parser = expat.ParserCreate(encoding="UTF-8", namespace_separator=" ")
    parser.ordered_attributes = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text.append
    try:
        parser.Parse(document, True)
    except expat.ExpatError as error:
        return "error\n%s" % error
    return "ok\n" + "\n".join(events)


def main():
    receive, send = sys.stdin.buffer, sys.stdout.buffer
    while header := receive.read(4):
        (length,) = struct.unpack("<I", header)
        answer = read(receive.read(length)).encode()
        send.write(struct.pack("<I", len(answer)) + answer)
        send.flush()


main()
