"""Opens and makes Fernet tokens as Python's cryptography does.

The first line of standard input is a key. Then each "open TOKEN" is answered
with the text in hexadecimal, each "seal HEX" with a token.
"""

import sys

from cryptography.fernet import Fernet

key = Fernet(sys.stdin.readline().strip())
for line in sys.stdin:
    verb, _, argument = line.strip().partition(" ")
    if verb == "open":
        print(key.decrypt(argument).hex())
    else:
        print(key.encrypt(bytes.fromhex(argument)).decode())
