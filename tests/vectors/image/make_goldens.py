#!/usr/bin/env python3
# Copyright 2026 The Shoji Authors
# SPDX-License-Identifier: Apache-2.0
"""Makes the pictures of this folder and goldens.json: what Pillow makes of them.

Run with Debian's python3-pil in this folder. The pictures are synthetic: a gradient with a little texture and noise, in
every form that the decoders must read. PNG and BMP forms that Pillow does not write are written here by hand.
"""
import hashlib
import json
import struct
import zlib

from PIL import Image

WIDTH, HEIGHT = 37, 23


def pixel(x, y, c):
    noise = zlib.crc32(bytes([x & 255, x >> 8, y & 255, y >> 8, c])) & 31
    wave = 40 if ((x // 3) + (y // 5)) % 2 else 0
    return min(255, (x * 5 * (c + 1) + y * 7 * (3 - c)) % 200 + wave // (c + 1) + noise // 2)


def picture(width, height):
    image = Image.new("RGB", (width, height))
    image.putdata([tuple(pixel(x, y, c) for c in range(3)) for y in range(height) for x in range(width)])
    return image


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def pack_row(samples, depth):
    if depth == 16:
        return b"".join(struct.pack(">H", s) for s in samples)
    bits = "".join(format(s, f"0{depth}b") for s in samples)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def png(sample, channels, depth, color, extra=b"", interlaced=False):
    """A PNG whose sample at (x, y, c) is sample(x, y, c); `extra` holds chunks to put before the pixels."""
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    raw = b""
    for x0, y0, dx, dy in passes:
        for y in range(y0, HEIGHT, dy):
            row = [sample(x, y, c) for x in range(x0, WIDTH, dx) for c in range(channels)]
            if row:
                raw += b"\0" + pack_row(row, depth)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, color, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw, 9))
            + chunk(b"IEND", b""))


def wide(x, y, c):
    return pixel(x, y, c % 3) * 256 + (x * 11 + y * 3 + c) % 256


def bmp(bits, pixels, info, palette=b"", masks=b"", height=HEIGHT, compression=0):
    """A BMP with the info header length `info`."""
    row_len = (WIDTH * bits + 31) // 32 * 4
    body = b"".join(row + b"\0" * (row_len - len(row)) for row in pixels)
    if info == 12:
        header = struct.pack("<IHHHH", 12, WIDTH, height, 1, bits)
    else:
        header = struct.pack("<IiiHHIIiiII", info, WIDTH, height, 1, bits, compression, len(body), 2835, 2835,
                             len(palette) // 4, 0)
        if info == 108:
            header += masks + b"BGRs" + b"\0" * 48
            masks = b""
    offset = 14 + len(header) + len(masks) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + header + masks + palette + body


def write_pngs():
    out = {}
    for depth in (1, 2, 4, 8):
        out[f"gray{depth}"] = png(lambda x, y, c, d=depth: pixel(x, y, c) >> (8 - d), 1, depth, 0)
    out["gray16"] = png(wide, 1, 16, 0)
    out["gray8_trns"] = png(pixel, 1, 8, 0, chunk(b"tRNS", struct.pack(">H", 100)))
    out["gray_alpha8"] = png(pixel, 2, 8, 4)
    out["gray_alpha16"] = png(wide, 2, 16, 4)
    out["rgb8"] = png(pixel, 3, 8, 2)
    out["rgb8_interlaced"] = png(pixel, 3, 8, 2, interlaced=True)
    out["rgb8_gamma"] = png(pixel, 3, 8, 2, chunk(b"gAMA", struct.pack(">I", 100000)))
    out["rgb8_trns"] = png(pixel, 3, 8, 2, chunk(b"tRNS", struct.pack(">HHH", 10, 20, 30)))
    out["rgb16"] = png(wide, 3, 16, 2)
    out["rgba8"] = png(lambda x, y, c: pixel(x, y, c % 3), 4, 8, 6)
    out["rgba16_interlaced"] = png(wide, 4, 16, 6, interlaced=True)
    for depth in (1, 2, 4, 8):
        palette = b"".join(bytes([i * 37 % 256, i * 91 % 256, 255 - i]) for i in range(1 << depth))
        out[f"palette{depth}"] = png(lambda x, y, c, d=depth: pixel(x, y, c) >> (8 - d), 1, depth, 3,
                                     chunk(b"PLTE", palette))
        if depth == 4:
            out["palette4_trns"] = png(lambda x, y, c: pixel(x, y, c) >> 4, 1, 4, 3,
                                       chunk(b"PLTE", palette) + chunk(b"tRNS", bytes(range(0, 160, 10))))
    for name, content in out.items():
        open(f"{name}.png", "wb").write(content)
    return [f"{name}.png" for name in out]


def write_jpegs():
    image = picture(WIDTH, HEIGHT)
    image.convert("L").save("gray.jpg", quality=90)
    image.save("rgb444.jpg", quality=95, subsampling=0)
    image.save("rgb422.jpg", quality=90, subsampling=1)
    image.save("rgb420.jpg", quality=80, subsampling=2)
    image.save("progressive.jpg", quality=85, progressive=True)
    image.convert("CMYK").save("cmyk.jpg", quality=95)
    content = bytearray(open("cmyk.jpg", "rb").read())
    content[content.index(b"Adobe") + 11] = 2  # the same samples, declared as YCCK
    open("ycck.jpg", "wb").write(content)
    return [f"{n}.jpg" for n in ("gray", "rgb444", "rgb422", "rgb420", "progressive", "cmyk", "ycck")]


def write_bmps():
    image = picture(WIDTH, HEIGHT)
    image.save("rgb24.bmp")
    image.convert("RGBA").save("rgb32.bmp")
    image.convert("L").save("gray8.bmp")
    image.convert("P", palette=Image.Palette.ADAPTIVE, colors=200).save("palette8.bmp")
    image.convert("1").save("mono.bmp")
    bgr = [b"".join(bytes([pixel(x, y, 2), pixel(x, y, 1), pixel(x, y, 0)]) for x in range(WIDTH)) for y in range(HEIGHT)]
    open("top_down.bmp", "wb").write(bmp(24, bgr, 40, height=-HEIGHT))
    open("os2.bmp", "wb").write(bmp(24, bgr[::-1], 12))
    bgra = [b"".join(row[i:i + 3] + b"\x80" for i in range(0, len(row), 3)) for row in bgr[::-1]]
    masks = struct.pack("<IIII", 0xff0000, 0xff00, 0xff, 0xff000000)
    open("v4_bitfields32.bmp", "wb").write(bmp(32, bgra, 108, masks=masks, compression=3))
    palette = b"".join(bytes([i * 15, 255 - i * 15, i * 7, 0]) for i in range(16))
    four = [pack_row([pixel(x, y, 0) >> 4 for x in range(WIDTH)], 4) for y in range(HEIGHT)]
    open("palette4.bmp", "wb").write(bmp(4, four[::-1], 40, palette=palette))
    return [f"{n}.bmp" for n in ("rgb24", "rgb32", "gray8", "palette8", "mono", "top_down", "os2", "v4_bitfields32",
                                 "palette4")]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def decode(name):
    image = Image.open(name)
    if name == "gray16.png":  # Pillow would clip it to white; the documented behaviour is the high byte
        rgb = Image.new("L", image.size)
        rgb.putdata([v >> 8 for v in image.getdata()])
        return rgb.convert("RGB"), rgb
    gray = image.convert("RGB").convert("L") if image.mode == "CMYK" else image.convert("L")
    return image.convert("RGB"), gray


def crop_centre(image, shorter, width, height):
    """torchvision's Resize(shorter), CenterCrop((height, width))."""
    w, h = image.size
    size = (shorter, int(shorter * h / w)) if w <= h else (int(shorter * w / h), shorter)
    image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = int(round((size[0] - width) / 2)), int(round((size[1] - height) / 2))
    return image.crop((left, top, left + width, top + height))


def write_crops():
    out = []
    sources = {"landscape.png": (97, 61), "portrait.png": (50, 83), "square.png": (40, 40), "thin.png": (3, 120)}
    for name, size in sources.items():
        picture(*size).save(name, optimize=True)
        for shorter, width, height in ((32, 32, 32), (17, 16, 13), (61, 61, 61), (40, 33, 38), (96, 90, 71), (7, 7, 7),
                                       (1, 1, 1), (128, 128, 128)):
            rgb = Image.open(name).convert("RGB")
            out.append({"file": name, "shorter": shorter, "width": width, "height": height,
                        "rgb": sha256(crop_centre(rgb, shorter, width, height).tobytes()),
                        "gray": sha256(crop_centre(rgb.convert("L"), shorter, width, height).tobytes())})
    return out


def main():
    decoded = []
    for name in write_pngs() + write_jpegs() + write_bmps():
        rgb, gray = decode(name)
        decoded.append({"file": name, "width": rgb.width, "height": rgb.height, "rgb": sha256(rgb.tobytes()),
                        "gray": sha256(gray.tobytes())})
    goldens = {"made by": f"make_goldens.py, Pillow {Image.__version__}", "decode": decoded, "crop": write_crops()}
    with open("goldens.json", "w", encoding="utf-8") as out:
        json.dump(goldens, out, indent=1)
        out.write("\n")


main()
