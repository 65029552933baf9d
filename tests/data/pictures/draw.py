#!/usr/bin/env python3
"""Draws the pictures beside this file: kinds of JPEG, PNG and WebP that the tests' own encoder does not write.

In: nothing; needs Pillow 12 and ffmpeg. Out: files of 90x61 pixels in the folder that is named, all of the same
drawing. Run it only to add a kind: other versions of Pillow write other bytes.
"""
import subprocess
import sys

from PIL import Image, ImageDraw

folder = sys.argv[1]
width, height = 90, 61
image = Image.new("RGB", (width, height))
for y in range(height):
    for x in range(width):
        colour = (x * 255 // width, y * 255 // height, 255 - (x + y) * 255 // (width + height))
        image.putpixel((x, y), colour)
pen = ImageDraw.Draw(image)
pen.ellipse((14, 12, 46, 46), fill=(240, 220, 40))
pen.rectangle((58, 8, 80, 40), fill=(20, 30, 60))
pen.line((0, 60, 89, 20), fill=(255, 255, 255), width=2)

image.save(f"{folder}/drawn.png")
image.save(f"{folder}/subsampled.jpg", quality=80, subsampling=2, optimize=True)
image.save(f"{folder}/restarts.jpg", quality=80, subsampling=1, restart_marker_blocks=5)
image.save(f"{folder}/progressive.jpg", quality=80, subsampling=2, progressive=True)
image.convert("CMYK").save(f"{folder}/inks.jpg", quality=80)
image.convert("L").save(f"{folder}/grey-progressive.jpg", quality=80, progressive=True)
image.save(f"{folder}/lossy.webp", quality=80)
exif = Image.Exif()
exif[0x112] = 6  # The orientation: turn it clockwise by a right angle.
image.save(f"{folder}/lying.webp", quality=80, exif=exif)
interlaced = ["ffmpeg", "-loglevel", "error", "-y", "-i", f"{folder}/drawn.png"]
subprocess.run([*interlaced, "-flags", "+ildct", f"{folder}/interlaced.png"], check=True)
