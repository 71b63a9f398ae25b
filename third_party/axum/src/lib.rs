//! The interface of axum that rumqttd's console uses. Nothing is served: the embedded broker is configured without a console.

use std::io;

/// Handlers by path.
#[derive(Debug, Default)]
pub struct Router;

impl Router {
    /// As the original.
    pub fn new() -> Self {
        Self
    }

    /// Ignores the handler.
    #[must_use]
    pub fn route(self, _: &str, _: routing::MethodRouter) -> Self {
        self
    }

    /// Ignores the state.
    #[must_use]
    pub fn with_state<S>(self, _: S) -> Self {
        self
    }
}

/// A value as JSON.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// # Errors
/// Always.
pub fn serve<L>(_: L, _: Router) -> std::future::Ready<io::Result<()>> {
    std::future::ready(Err(io::ErrorKind::Unsupported.into()))
}

/// What handlers take from a request.
pub mod extract {
    /// The parameters of the path.
    #[derive(Debug)]
    pub struct Path<T>(pub T);

    /// The state of the router.
    #[derive(Debug)]
    pub struct State<T>(pub T);
}

/// Handlers by method.
pub mod routing {
    /// A handler for one method.
    #[derive(Debug)]
    pub struct MethodRouter;

    /// Ignores the handler.
    pub fn get<H>(_: H) -> MethodRouter {
        MethodRouter
    }

    /// Ignores the handler.
    pub fn post<H>(_: H) -> MethodRouter {
        MethodRouter
    }
}

/// What handlers return.
pub mod response {
    use std::convert::Infallible;

    /// What can be answered.
    pub trait IntoResponse {}

    impl<T> IntoResponse for super::Json<T> {}
    impl<T> IntoResponse for Response<T> {}

    /// An answer.
    #[derive(Debug)]
    pub struct Response<T = ()>(T);

    impl Response {
        /// Begins an answer.
        pub fn builder() -> Builder {
            Builder
        }
    }

    impl<T> Response<T> {
        /// An answer with this body.
        pub fn new(body: T) -> Self {
            Self(body)
        }

        /// The body.
        pub fn into_body(self) -> T {
            self.0
        }
    }

    /// An answer without its body.
    #[derive(Debug)]
    pub struct Builder;

    impl Builder {
        /// Ignores the status.
        #[must_use]
        pub fn status(self, _: u16) -> Self {
            self
        }

        /// # Errors
        /// Never.
        pub fn body<T>(self, body: T) -> Result<Response<T>, Infallible> {
            Ok(Response(body))
        }
    }
}
