# What all pictures share. Set before this text: the terminal, narrow (1: for phones), csv, axis
# (name of y), top (largest value), n series with color[], name[], dashes[], last[], last_gpus[],
# label_y[], the numbers of GPUs gpus[], and the colours of palette.c (ink, muted, grid, paper...).
# The CSV has a header, then: series, source, gpus, median, min, max, repeats.
set encoding utf8
set datafile separator comma
set datafile missing NaN
set border 1 linecolor rgb axis_line linewidth 1
set tics nomirror scale 0.5 textcolor rgb muted
set xtics scale 0.5
set ytics scale 0
set grid ytics linetype 1 linecolor rgb grid linewidth 1
set style fill solid 1 noborder
unset key
set xlabel 'GPUs' textcolor rgb muted
set label 1000 axis at screen 0, screen 1 left offset 0.6, -0.8 textcolor rgb muted
set tmargin 2.6

# The value of column c in the rows of series i; other rows are left out without breaking a line.
of(i, c) = column(1) == i ? column(c) : NaN

# At most so many characters.
fit(text, most) = strlen(text) > most ? text[1:most - 3].'...' : text

# 7532 as "7,532"; printf's own way depends on the locale.
below_1000(x) = sprintf(x < 10 ? '%.3g' : '%.0f', x)
below_million(x) = x < 999.5 ? below_1000(x) : sprintf('%d,%03d', int(x + 0.5) / 1000, int(x + 0.5) % 1000)
count(x) = x < 999999.5 ? below_million(x) : \
	sprintf('%d,%03d,%03d', int(x) / 1000000, int(x) / 1000 % 1000, int(x) % 1000)

# A step of 1, 2 or 5 times a power of ten that gives four to ten tics up to x.
decade(x) = 10.0 ** floor(log10(x))
step(x) = decade(x) * (x / decade(x) >= 5 ? 1 : x / decade(x) >= 2 ? 0.5 : 0.2)
