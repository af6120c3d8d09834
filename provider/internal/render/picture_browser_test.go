// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

//go:build browser

package render

import (
	"bytes"
	"cmp"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// maxPicture is what a picture in the documents may weigh.
const maxPicture = 300 << 10

// TestPictures writes the pictures of docs/report.md with -update. They are of
// the sample, in fewer colors than the page has. How letters are drawn differs
// between machines, so that they are not compared with what is there.
func TestPictures(t *testing.T) {
	for _, scheme := range []string{"light", "dark"} {
		b := open(t, sample(), device{width: 1200, height: 1180, scheme: scheme})
		var small bytes.Buffer
		encoder := png.Encoder{CompressionLevel: png.BestCompression}
		if err := encoder.Encode(&small, fewerColors(t, b.picture())); err != nil {
			t.Fatal(err)
		}
		if small.Len() > maxPicture || small.Len() < maxPicture/20 {
			t.Errorf("the picture in the %s scheme has %d bytes", scheme, small.Len())
		}
		if *update {
			name := map[string]string{"light": "report.png", "dark": "report-dark.png"}[scheme]
			if err := os.WriteFile(filepath.Join("..", "..", "..", "docs", name), small.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// fewerColors keeps the 256 colors that a picture uses most; others become the
// one that is nearest.
func fewerColors(t *testing.T, picture []byte) image.Image {
	t.Helper()
	full, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	area := full.Bounds()
	uses := map[color.RGBA]int{}
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			uses[color.RGBAModel.Convert(full.At(x, y)).(color.RGBA)]++
		}
	}
	few := image.NewPaletted(area, mostUsed(uses, 256))
	draw.Draw(few, area, full, area.Min, draw.Src)
	return few
}

func mostUsed(uses map[color.RGBA]int, n int) color.Palette {
	all := slices.SortedFunc(maps.Keys(uses), func(a, b color.RGBA) int {
		return cmp.Or(cmp.Compare(uses[b], uses[a]), cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
	var palette color.Palette
	for _, c := range first(all, n) {
		palette = append(palette, c)
	}
	return palette
}
