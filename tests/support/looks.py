"""What a page looks like to a browser: overflow, contrast and focus, computed in it."""

from __future__ import annotations

OUTSIDE = """
[...document.querySelectorAll('body *')]
  .filter(e => !e.closest('.skip, .shapes, thead') && e.getClientRects().length)
  .filter(e => { const b = e.getBoundingClientRect(); return b.right > innerWidth + 1 || b.left < -1 })
  .map(e => `${e.tagName} ${e.className} ${e.textContent.slice(0, 40)}`)
"""
"""Elements that reach beyond the sides of the window."""

SMALLEST = (
    "Math.min(...[...document.querySelectorAll('body *')].map(e => parseFloat(getComputedStyle(e).fontSize)))"
)
"""Pixels of the smallest font."""

FAINT = """
(() => {
  const channels = text => text.match(/[\\d.]+/g).map(Number)
  const linear = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
  const behind = e => {
    for (; e; e = e.parentElement) {
      const colour = channels(getComputedStyle(e).backgroundColor)
      if (colour.length === 3 || colour[3] === 1) return colour
      if (colour[3] !== 0) throw new Error('translucent background: ' + e.outerHTML.slice(0, 80))
    }
    throw new Error('no background')
  }
  const contrast = (e, colour) => {
    const [high, low] = [luminance(channels(colour)), luminance(behind(e))].sort((a, b) => b - a)
    return (high + 0.05) / (low + 0.05)
  }
  const faint = [], check = (e, ratio, least, what) => {
    if (ratio < least) faint.push(`${what} ${e.tagName}.${e.getAttribute('class')} ${ratio.toFixed(2)}`)
  }
  let checked = 0
  for (const e of document.querySelectorAll('body, body *')) {
    const style = getComputedStyle(e)
    if ([...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || e.tagName === 'INPUT') {
      checked += 1
      const large = parseFloat(style.fontSize) >= 24
      check(e, contrast(e, style.color), large ? 3 : 4.5, 'text')
      const before = getComputedStyle(e, '::before')
      if (before.content !== 'none') check(e, contrast(e, before.color), 4.5, 'label')
      if (e.tagName === 'INPUT') {
        check(e, contrast(e, getComputedStyle(e, '::placeholder').color), 4.5, 'placeholder')
        check(e.parentElement, contrast(e.parentElement, style.borderTopColor), 3, 'border')
      }
    }
    if (e.matches('.icon')) check(e, contrast(e, style.color), 3, 'icon')
    if (e.matches('.bar rect')) check(e, contrast(e.closest('main'), style.fill), 3, 'bar')
  }
  if (checked < 8) throw new Error(`only ${checked} texts`)
  return faint
})()
"""
"""Texts and icons with less contrast than WCAG 2.2 AA asks for."""

FOCUSED = """
(() => {
  const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect()
  return {
    what: `${e.tagName} ${e.getAttribute('href') || e.name || e.textContent}`,
    outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    visible: box.width > 0 && box.right > 0 && box.bottom > 0 && box.top < innerHeight,
  }
})()
"""
"""What has the focus, and whether one can see that."""

FOCUSABLE = """
[...document.querySelectorAll('a[href], input:not([type=hidden]), button, summary')]
  .filter(e => e.matches('.skip') || e.checkVisibility()).length
"""
"""How many elements the Tab key reaches. What is folded is not visible."""
