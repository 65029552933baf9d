#!/bin/sh
# Plays what /run/system-test/part names into the loopback device, again and again, until stopped.
#
# in   yuyv | mjpeg, frames a second, the device; files /payload/PART.ENCODING
# out  one stream without an end: another part begins when the one before it is over, and
#      /run/system-test/playing then names it
#
# One writer for the whole time: with exclusive_caps, v4l2loopback 0.12 is neither camera nor screen
# for anybody once a program that used write(), as ffmpeg does, has gone.
set -u
encoding=$1 rate=$2 device=$3
case $encoding in
yuyv) input="-f rawvideo -pixel_format yuyv422 -video_size 640x480" ;;
mjpeg) input="-f mjpeg" ;;
esac
while :; do
    part=$(cat /run/system-test/part)
    echo "$part" >/run/system-test/playing
    cat "/payload/$part.$encoding" || exit
done |
    # shellcheck disable=SC2086 # the input is words
    exec ffmpeg -loglevel error -re $input -framerate "$rate" -i - -codec copy -f v4l2 "$device"
