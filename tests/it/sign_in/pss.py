"""RSASSA-PSS with SHA-256 (RFC 8017, 8.1.2 and 9.1.2), written out: verifies without any library of the program or the sandbox.

stdin: modulus, exponent and signature in hexadecimal, then the message, a line each. Ends with 0 if the signature is good."""
import sys
from hashlib import sha256

modulus, exponent, signature, message = (line.strip() for line in sys.stdin)
n, e, signed = int(modulus, 16), int(exponent, 16), int(signature, 16)
bits = n.bit_length() - 1
length, salt_length, hash_length = (bits + 7) // 8, 32, 32
if signed >= n:
    sys.exit("the signature is no number below the modulus")
encoded = pow(signed, e, n).to_bytes(length, "big")
masked, digest, trailer = encoded[: -hash_length - 1], encoded[-hash_length - 1 : -1], encoded[-1]
if trailer != 0xBC or masked[0] >> (8 - (8 * length - bits)):
    sys.exit("no PSS encoding")
mask = b"".join(sha256(digest + counter.to_bytes(4, "big")).digest() for counter in range(len(masked) // hash_length + 1))
block = bytearray(a ^ b for a, b in zip(masked, mask))
block[0] &= 0xFF >> (8 * length - bits)
zeros, one, salt = block[: -salt_length - 1], block[-salt_length - 1], bytes(block[-salt_length:])
if any(zeros) or one != 1:
    sys.exit("no salt of 32 bytes")
if sha256(bytes(8) + sha256(message.encode()).digest() + salt).digest() != digest:
    sys.exit("another message was signed")
