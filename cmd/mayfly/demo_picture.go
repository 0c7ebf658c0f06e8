package main

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
)

// drawPicture makes a picture of some hundred kilobytes: dusk with stars, grainy
// enough that PNG cannot shrink it to nothing.
func drawPicture() ([]byte, error) {
	const width, height = 640, 480
	grain := rand.New(rand.NewPCG(1, 2))
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			dusk := uint8(y * 160 / height)
			noise := uint8(grain.IntN(24))
			c := color.RGBA{R: 40 + dusk + noise, G: 20 + dusk/2 + noise, B: 90 + noise, A: 255}
			if grain.IntN(2000) == 0 {
				c = color.RGBA{R: 255, G: 250, B: 220, A: 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
	var out bytes.Buffer
	err := png.Encode(&out, img)
	return out.Bytes(), err
}
