-- Turn a document of vignettes/ into Markdown for Zensical: R and Python side by side become tabs,
-- formulas become MathML, which browsers show without a program.

local FORMAT = "commonmark+pipe_tables+definition_lists"

local function mathml(formula)
  local document = pandoc.Pandoc({ pandoc.Plain({ formula }) })
  local html = pandoc.write(document, "html", { html_math_method = "mathml" })
  html = html:gsub("<annotation.-</annotation>", ""):gsub("%s*\n%s*", " ")
  -- Zensical would read these as Markdown.
  return (html:gsub("[*_`\\|]", function(sign)
    return string.format("&#%d;", sign:byte())
  end))
end

function Math(formula)
  return pandoc.RawInline("html", mathml(formula))
end

-- A formula of its own may be wider than the page: a block that scrolls.
function Para(paragraph)
  local only = paragraph.content[1]
  if #paragraph.content == 1 and only.t == "RawInline" and only.text:find('display="block"') then
    return pandoc.RawBlock("html", '<div class="math">' .. only.text .. "</div>")
  end
end

function CodeBlock(block)
  local language = "text"
  for _, class in ipairs(block.classes) do
    if class ~= "sourceCode" and class ~= "cell-code" then
      language = class
    end
  end
  return pandoc.CodeBlock(block.text, { class = language })
end

function Image(image)
  image.attributes = {}
  return image
end

-- Zensical writes the title, and an anchor for each heading.
function Header(header)
  if header.classes:includes("title") or header.classes:includes("subtitle") then
    return {}
  end
  return pandoc.Header(header.level, header.content)
end

local function tab(name, blocks)
  local text = pandoc.write(pandoc.Pandoc(blocks), FORMAT, PANDOC_WRITER_OPTIONS)
  text = ("\n" .. text):gsub("\n([^\n])", "\n    %1")
  return '=== "' .. name .. '"\n' .. text .. "\n"
end

function Div(div)
  if div.classes:includes("pair") then
    local tabs = {}
    for number, language in ipairs(div.content) do
      local name = number == 1 and "R" or "Python"
      local content = language.content:walk({
        Span = function(span)
          if span.classes:includes("tag") then
            name = pandoc.utils.stringify(span)
            return {}
          end
        end,
      })
      table.insert(tabs, tab(name, content))
    end
    return pandoc.RawBlock("html", table.concat(tabs, "\n"))
  end
  if div.classes:includes("footer") then
    local blocks = pandoc.List({ pandoc.RawBlock("html", '<div class="footer" markdown="1">') })
    blocks:extend(div.content)
    blocks:insert(pandoc.RawBlock("html", "</div>"))
    return blocks
  end
  if not div.classes:includes("language") then
    return div.content
  end
end
