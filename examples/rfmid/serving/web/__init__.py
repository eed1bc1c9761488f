"""The page on which photographs are looked at: `serve`, its server and its workers.

Starlette and uvicorn, with HTML made by hand. Gradio was tried (6.31): it writes each upload to a
temporary folder and leaves it there, and runs scripts inside the page, which a strict Content
Security Policy forbids; and it installs some fifty packages, where these two come to six.
"""
